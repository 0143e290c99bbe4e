"""Pictures and pages of events, figures and runs; the only home of matplotlib and plotly.

Nothing is imported here, so that verbs without pictures stay light; write
``from pcloud.plots.event_display import display``.
"""
