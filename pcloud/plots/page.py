"""The frame of every HTML page written here: one file, no request to anywhere, all words escaped.

``document(title, body)`` wraps ready HTML; a content policy in the page forbids the browser to fetch anything.
"""

from __future__ import annotations

from html import escape

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p, figcaption, caption { max-width: 60rem; }
figcaption, caption, .note { color: #555; font-size: .9rem; text-align: left; }
caption { caption-side: bottom; padding-top: .4rem; } figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #888; } td.number, th.number { text-align: right; white-space: nowrap; }
pre { background: #f6f6f6; padding: .7rem; overflow-x: auto; font-size: .85rem; } code { overflow-wrap: anywhere; }
body.wide { max-width: none; margin: 1rem; }
@media print { body { margin: 0; max-width: none; } pre { white-space: pre-wrap; } }
"""


def document(title: str, body: str, *, scripts: bool = False, wide: bool = False) -> str:
    """A whole HTML page around body (ready HTML); only with ``scripts`` may it run those written into it."""
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; img-src data: blob:"
    if scripts:
        policy += "; script-src 'unsafe-inline'; worker-src blob:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body{' class=wide' if wide else ''}>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )
