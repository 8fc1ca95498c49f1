"""What 'triovit evaluate' tells: lines, tables, the picture and the JSON report."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from triovit.flow.output import show, table, write_json
from triovit.golden.evaluation.accuracy import TOP, Predictions, Share
from triovit.golden.evaluation.confusion import confusion_matrix, confusions, draw_confusion
from triovit.golden.files import whole_file
from triovit.golden.messages import printable

ROWS = 10  # of a table


def report(options, predictions: Predictions, names: Sequence[str], *, new: int, seconds: float, journal: Path) -> None:
    """Print and write the result. new: images evaluated in this run, in `seconds`; the others are from the journal."""
    top1, top5 = predictions.accuracy(1), predictions.accuracy(TOP)
    among_five = predictions.by_class(TOP)
    by_class = {c: (share, among_five[c]) for c, share in predictions.by_class(1).items()}
    wrong = confusions(predictions)
    rate = new / seconds if new else None

    # Files first: they must not be lost with a reader of the listing.
    if options.confusion:
        subject = f"{printable(Path(options.network).name)} ({options.backend})"
        title = f"{subject}: top-1 {top1.percent:.2f} % of {len(predictions):,} images"
        matrix = confusion_matrix(predictions, len(names))
        _write_picture(draw_confusion(matrix, list(map(printable, names)), title), options.confusion)
    write_json(
        options.json,
        {
            "network": options.network,
            "backend": options.backend,
            "data": options.data,
            "images": len(predictions),
            "top1": _values(top1),
            "top5": _values(top5),
            "seconds": seconds,
            "evaluated": new,
            "images_per_second": rate,
            "journal": str(journal),
            "broken": [{"index": index, "error": error} for index, error in predictions.broken],
            "classes": list(names),
            "by_class": [
                {"class": c, "name": names[c], "images": one.images, "top1": one.correct, "top5": five.correct}
                for c, (one, five) in by_class.items()
            ],
            "confusions": [{"class": row, "predicted": column, "images": count} for row, column, count in wrong],
        },
    )

    show(f"{options.network} ({options.backend}) on {options.data}")
    show(f"top-1 {_told(top1)}")
    if len(names) > TOP:
        show(f"top-{TOP} {_told(top5)}")
    if rate is None:
        show(f"all from {journal}")
    else:
        earlier = f"; {len(predictions) - new:,} more from {journal}" if new < len(predictions) else ""
        show(f"{new:,} images in {seconds:.1f} s: {rate:.1f} images/s{earlier}")
    _broken(predictions)
    _tables(by_class, wrong, names)
    if options.confusion:
        show(f"wrote {options.confusion}")


def _told(share: Share) -> str:
    return f"{share.percent:.2f} % ± {share.standard_error:.2f} ({share.correct:,} of {share.images:,} images)"


def _values(share: Share) -> dict:
    return {"correct": share.correct, "percent": share.percent, "standard_error": share.standard_error}


def _broken(predictions: Predictions) -> None:
    if not predictions.broken:
        return
    show(f"{len(predictions.broken):,} images could not be read and are not counted:")
    for _, error in predictions.broken[:ROWS]:
        show(f"  {error}")
    if len(predictions.broken) > ROWS:
        show(f"  and {len(predictions.broken) - ROWS:,} more (--json has them all)")


def _tables(by_class: dict[int, tuple[Share, Share]], wrong: list[tuple[int, int, int]], names: Sequence[str]) -> None:
    worst = sorted(by_class.items(), key=lambda item: item[1][0].percent)[:ROWS]
    table(
        "classes with the lowest top-1",
        [("class", "left"), ("images", "right", 1), ("top-1 %", "right"), (f"top-{TOP} %", "right", 0)],
        [[names[c], one.images, f"{one.percent:.1f}", f"{five.percent:.1f}"] for c, (one, five) in worst],
    )
    if wrong:
        table(
            "most frequent confusions",
            [("class", "left"), ("taken for", "left"), ("images", "right"), ("% of the class", "right", 0)],
            [
                [names[row], names[column], count, f"{100 * count / by_class[row][0].images:.1f}"]
                for row, column, count in wrong[:ROWS]
            ],
        )


def _write_picture(figure, path: str) -> None:
    """Write the picture; it appears whole or not at all."""
    with whole_file(path) as partial, warnings.catch_warnings(action="ignore"):  # of letters that the font lacks
        figure.savefig(partial, format="png")
