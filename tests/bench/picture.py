"""The figures as a picture: CPU per request by row with its bar, and how costs grow. SVG is text: no library is needed."""
import html
import math

WIDTH, MARGIN, LABEL = 960, 24, 330
BAR, GAP = 14, 8
PLOT_W, PLOT_H = 290, 180
INK, FAINT, OURS, THEIRS, LIMIT = "#222", "#ccc", "#2a6fb0", "#9a9a9a", "#c0392b"
SERIES = (OURS, "#3a8f5c", "#b07a2a", "#7a4fa0")


def text(x, y, what, anchor="start", size=12, fill=INK):
    return '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s">%s</text>' % (
        x, y, anchor, size, fill, html.escape(what))


def line(x1, y1, x2, y2, colour=FAINT, width=1.0):
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>' % (x1, y1, x2, y2, colour, width)


def number(value):
    if value >= 1000:
        return "{:,.0f}".format(value)
    return "%.3g" % value


def round_up(value):
    """The next of 1, 2, 5, 10, ... that is not below."""
    power = 10 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value * 0.9999)


def limit_of(row, base):
    """The CPU at which the row's bar is, in us; None if its bar is about something else."""
    for j in row.judgements:
        if j["what"] == "CPU / nginx":
            return j["bar"] * base
        if j["what"] == "CPU / (openssl + Encrypt)":
            return row.figures["cpu_us"] / j["reached"] * j["bar"]
    return None


class _Row:
    def __init__(self, data):
        self.section, self.name = data["section"], data["name"]
        self.figures, self.judgements = data.get("figures", {}), data["judgements"]


def bars(rows, y):
    """Horizontal bars of CPU per request; what takes far longer than the rest is left to the table."""
    shown = [row for row in rows if row.figures.get("cpu_us", 1e9) < 100]
    if not shown:
        return [], y
    scale = (WIDTH - LABEL - 2 * MARGIN - 60) / round_up(max(row.figures["cpu_us"] for row in shown))
    out, section, base = [text(MARGIN, y, "CPU of the server per request, us; red: the bar", size=14)], None, None
    y += 22
    for row in shown:
        theirs = row.name.startswith(("nginx", "openssl"))
        if row.section != section:
            section, base = row.section, None
            y += 6
        base = row.figures["cpu_us"] if row.name.startswith("nginx") else base
        width = row.figures["cpu_us"] * scale
        out.append(text(LABEL + MARGIN - 8, y + BAR - 3, row.name, "end"))
        out.append('<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>' % (
            LABEL + MARGIN, y, width, BAR, THEIRS if theirs else OURS))
        out.append(text(LABEL + MARGIN + width + 6, y + BAR - 3, "%.1f" % row.figures["cpu_us"]))
        limit = limit_of(row, base) if base or not theirs else None
        if limit:
            x = LABEL + MARGIN + limit * scale
            out.append(line(x, y - 3, x, y + BAR + 3, LIMIT, 2))
        y += BAR + GAP
    return out, y + 20


def curve(c, left, top):
    """One small plot: x logarithmic, y from zero."""
    points = [point for series in c["series"].values() for point in series if point[0] > 0]
    if not points:
        return []
    xs = [math.log10(x) for x, _ in points]
    low, high = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1
    most = round_up(max(y for _, y in points) or 1)
    x0, y0, w, h = left + 44, top + PLOT_H - 34, PLOT_W - 64, PLOT_H - 64

    def at(x, y):
        return x0 + (math.log10(x) - low) / (high - low) * w, y0 - y / most * h
    out = [text(left, top + 4, c["title"], size=14), text(left, top + 19, c["y"], size=11)]
    for part in (0, 0.5, 1):
        out += [line(x0, y0 - part * h, x0 + w, y0 - part * h), text(x0 - 6, y0 - part * h + 4, number(most * part), "end", 11)]
    for x in sorted(set(x for x, _ in points)):
        out.append(text(at(x, 0)[0], y0 + 16, number(x), "middle", 11))
    out.append(text(x0 + w / 2, y0 + 31, c["x"], "middle", 11))
    colours = iter(SERIES)
    for name, series in c["series"].items():
        colour = THEIRS if name == "nginx" else next(colours)
        places = [at(x, y) for x, y in series if x > 0]
        out.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (
            " ".join("%.1f,%.1f" % place for place in places), colour))
        out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x, y, colour) for x, y in places]
        if len(c["series"]) > 1:
            out.append(text(places[-1][0], places[-1][1] - 7, name, "end", 11, colour))
    return out


def draw(data):
    """The SVG text of what bench.json holds."""
    out, y = [text(MARGIN, 28, "Trent, %s, commit %s" % (data["date"][:10], data["commit"]), size=16),
              text(MARGIN, 46, "%(cpu)s, %(cores)d cores, Linux %(kernel)s" % data["machine"], size=12, fill="#555")], 76
    more, y = bars([_Row(row) for row in data["rows"]], y)
    out += more
    for i, c in enumerate(data["curves"]):
        out += curve(c, MARGIN + (i % 3) * (PLOT_W + 20), y + (i // 3) * (PLOT_H + 20))
    y += (len(data["curves"]) + 2) // 3 * (PLOT_H + 20)
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%.0f" font-family="sans-serif">\n'
            '<rect width="100%%" height="100%%" fill="white"/>\n%s\n</svg>\n' % (WIDTH, y + MARGIN, "\n".join(out)))
