"""Curves of first-token times, drawn as an SVG by hand: no library for two panels.

Both axes are logarithmic: seconds to the right, the share of requests still silent downwards, so
that each step down is a rarer request and the tail is as wide as the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log10

_WIDTH, _HEIGHT = 460, 330
_LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 62, 44, 380, 230
_SECONDS = (0.25, 30.0)
_SHARES = (0.5, 1e-4)
_TICKS = (0.3, 1, 3, 10, 30)
_LEVELS = ((0.5, "p50"), (0.1, "p90"), (0.01, "p99"), (0.001, "p99.9"), (1e-4, "p99.99"))

_STYLE = """\
    .back { fill: #ffffff; } .text { fill: #1f2328; } .note { fill: #57606a; font-size: 12px; }
    .grid { stroke: #d0d7de; stroke-width: 1; } .curve { fill: none; stroke-width: 2; }
    .none { stroke: #8c959f; } .both { stroke: #8250df; stroke-dasharray: 5 4; }
    .hedged { stroke: #0969da; stroke-width: 2.5; }
    .best { fill: none; stroke: #bf3989; stroke-width: 2; }
    @media (prefers-color-scheme: dark) {
      .back { fill: #0d1117; } .text { fill: #e6edf3; } .note { fill: #9ea7b3; }
      .grid { stroke: #30363d; } .hedged { stroke: #58a6ff; } .both { stroke: #a371f7; }
      .best { stroke: #f778ba; }
    }"""


@dataclass(frozen=True)
class Curve:
    """One policy."""

    kind: str
    """Its class in the style: none, hedged, both."""
    label: str
    points: Sequence[tuple[float, float]]
    """(seconds, share still silent)."""


@dataclass(frozen=True)
class Panel:
    """One scenario."""

    title: str
    curves: Sequence[Curve]
    marks: Sequence[tuple[float, float]] = field(default=())
    """The best fixed policy's quantiles."""


def draw(panels: Sequence[Panel], description: str) -> str:
    """The whole picture."""
    width = _WIDTH * len(panels)
    body = "\n".join(
        f'  <g transform="translate({_WIDTH * place} 0)">\n{_panel(panel)}\n  </g>'
        for place, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="14" role="img" '
        f'aria-label="{description}">\n'
        f"  <style>\n{_STYLE}\n  </style>\n"
        f'  <rect class="back" width="{width}" height="{_HEIGHT}"/>\n{body}\n</svg>\n'
    )


def _panel(panel: Panel) -> str:
    lines = [f'<text class="text" x="{_LEFT}" y="24">{panel.title}</text>', *_grid()]
    for curve in panel.curves:
        path = " ".join(f"{_x(seconds):.1f},{_y(share):.1f}" for seconds, share in curve.points)
        lines.append(f'<polyline class="curve {curve.kind}" points="{path}"/>')
    lines += [
        f'<circle class="best" cx="{_x(seconds):.1f}" cy="{_y(share):.1f}" r="5"/>'
        for seconds, share in panel.marks
    ]
    return "\n".join(f"    {line}" for line in [*lines, *_legend(panel)])


def _grid() -> list[str]:
    bottom, right = _TOP + _PLOT_HEIGHT, _LEFT + _PLOT_WIDTH
    lines = []
    for seconds in _TICKS:
        x = _x(seconds)
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        lines.append(
            f'<text class="note" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
            f"{seconds:g} s</text>"
        )
    for share, name in _LEVELS:
        y = _y(share)
        lines.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        lines.append(
            f'<text class="note" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
        )
    return lines


def _legend(panel: Panel) -> list[str]:
    y = _HEIGHT - 14
    lines = []
    step = _PLOT_WIDTH / (len(panel.curves) + 1)
    for place, curve in enumerate(panel.curves):
        x = _LEFT + step * place
        lines.append(f'<line class="curve {curve.kind}" x1="{x}" y1="{y}" x2="{x + 16}" y2="{y}"/>')
        lines.append(f'<text class="note" x="{x + 21}" y="{y + 4}">{curve.label}</text>')
    x = _LEFT + step * len(panel.curves)
    lines.append(f'<circle class="best" cx="{x + 8}" cy="{y}" r="5"/>')
    lines.append(f'<text class="note" x="{x + 21}" y="{y + 4}">best fixed</text>')
    return lines


def _x(seconds: float) -> float:
    low, high = _SECONDS
    place = log10(min(max(seconds, low), high) / low) / log10(high / low)
    return _LEFT + _PLOT_WIDTH * place


def _y(share: float) -> float:
    high, low = _SHARES
    return _TOP + _PLOT_HEIGHT * log10(high / share) / log10(high / low)
