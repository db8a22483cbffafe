"""The comparison of generators as a table for the terminal, 80 columns wide or less."""

from __future__ import annotations

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from medgain.assess.compare.result import ComparisonResult
from medgain.assess.compare.wording import budget_words, done_rows
from medgain.report.compare.rows import cost_rows, score_table, shown_metrics
from medgain.runtime.text import NONE, as_ascii, count


class ComparisonTable:
    """Generators by KD, with cover and cost; then what the table says. A rich renderable."""

    def __init__(self, result: ComparisonResult) -> None:
        self.result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, the null, and the sentences."""
        plain, about = options.ascii_only, self.result.set
        title = (
            f"{about.name}: {count(about.train)} training images,"
            f" {budget_words(self.result.protocol)} each"
        )
        others = [metric.head for metric in shown_metrics(self.result)[1:]]
        heads = ["generator", "KD", "95 % interval", *others, "kimg", "min", "MiB"]
        if options.max_width < 72:
            heads = ["generator", "KD", *others, "kimg"]
        table = Table(
            title=Text(as_ascii(title) if plain else title, style="bold"),
            title_justify="left",
            box=box.ASCII2 if plain else box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        for head in heads:
            table.add_column(
                head, justify="left" if head == "generator" else "right", overflow="fold"
            )
        for cells in self._rows():
            shown = [cells.get(head, "") for head in heads]
            table.add_row(*(as_ascii(cell) if plain else cell for cell in shown))
        yield table
        for line in self._lines():
            yield Text(as_ascii(line) if plain else line)

    def _rows(self) -> list[dict[str, str]]:
        done, others = done_rows(self.result), shown_metrics(self.result)[1:]
        rows = []
        for row in score_table(self.result).rows:
            cells = {"generator": row.name}
            cells["KD"], cells["95 % interval"] = row.kd
            for metric, (value, _) in zip(others, row.others, strict=True):
                cells[metric.head] = value
            if row.name in done:
                cost = done[row.name].cost
                cells["kimg"] = f"{cost.images_seen / 1000:.1f}"
                cells["min"] = f"{cost.seconds / 60:.1f}"
                cells["MiB"] = count(cost.peak_memory_mb)
            rows.append(cells)
        scored = {row["generator"] for row in rows}
        for other in self.result.rows:
            if other.model not in scored:
                rows.append({"generator": other.model, "KD": NONE, "95 % interval": other.status})
        return rows

    def _lines(self) -> list[str]:
        table = score_table(self.result)
        null = ", ".join(f"{name} {value}" for name, value in table.null)
        lines = [f"real-real: {null}; N = {table.n} a side"] if null else []
        lines += ["", self.result.headline, *self.result.sentences]
        remedies = [row for row in cost_rows(self.result) if row.remedy]
        lines += [f"  → {row.name}: {row.remedy}" for row in remedies]
        return [*lines, *(f"note: {note}" for note in self.result.notes)]
