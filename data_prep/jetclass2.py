"""JetClass-II (arXiv:2405.12972): parquet files of jets of 188 kinds, with pileup removed by PUPPI.

``SOURCE.prepare("QCD_0000.parquet", "store")``. Columns as JetClass has them (`data_prep.jetclass`), but one jet_label, whose
188 names are those of the authors: X -> 2 particles, X -> YY -> 3 or 4, and QCD by the heavy quarks inside.
"""

from __future__ import annotations

from pathlib import Path

from data_prep.columns import open_table
from data_prep.jet_source import JetSource
from data_prep.jetclass import COLUMNS
from data_prep.table import TableFile

_TWO = """
bb cc ss qq bc cs bq cq sq gg ee mm tauhtaue tauhtaum tauhtauh
"""
_MORE = """
bbbb bbcc bbss bbqq bbgg bbee bbmm bbtauhtaue bbtauhtaum bbtauhtauh bbb bbc bbs bbq bbg bbe bbm cccc ccss ccqq ccgg ccee ccmm
cctauhtaue cctauhtaum cctauhtauh ccb ccc ccs ccq ccg cce ccm ssss ssqq ssgg ssee ssmm sstauhtaue sstauhtaum sstauhtauh ssb ssc
sss ssq ssg sse ssm qqqq qqgg qqee qqmm qqtauhtaue qqtauhtaum qqtauhtauh qqb qqc qqs qqq qqg qqe qqm gggg ggee ggmm ggtauhtaue
ggtauhtaum ggtauhtauh ggb ggc ggs ggq ggg gge ggm bee cee see qee gee bmm cmm smm qmm gmm btauhtaue ctauhtaue stauhtaue
qtauhtaue gtauhtaue btauhtaum ctauhtaum stauhtaum qtauhtaum gtauhtaum btauhtauh ctauhtauh stauhtauh qtauhtauh gtauhtauh qqqb
qqqc qqqs bbcq ccbs ccbq ccsq sscq qqbc qqbs qqcs bcsq bcs bcq bsq csq bcev csev bqev cqev sqev qqev bcmv csmv bqmv cqmv sqmv
qqmv bctauev cstauev bqtauev cqtauev sqtauev qqtauev bctaumv cstaumv bqtaumv cqtaumv sqtaumv qqtaumv bctauhv cstauhv bqtauhv
cqtauhv sqtauhv qqtauhv
"""
_QCD = """
bbccss bbccs bbcc bbcss bbcs bbc bbss bbs bb bccss bccs bcc bcss bcs bc bss bs b ccss ccs cc css cs c ss s light
"""
LABELS = (
    *(f"X_{name}" for name in _TWO.split()),
    *(f"X_YY_{name}" for name in _MORE.split()),
    *(f"QCD_{name}" for name in _QCD.split()),
)


def open_file(path: Path) -> TableFile:
    return TableFile(open_table(path), COLUMNS | {"label": "jet_label"}, LABELS, what="a file of JetClass-II")


SOURCE = JetSource("jetclass2", open_file, (".parquet",))
