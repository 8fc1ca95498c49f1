"""The recipe's rules, and its learning rate against torch's one-cycle schedule."""

import dataclasses

import pytest
import torch

from triovit.golden.training.recipe import END_DIVISOR, START_DIVISOR, Recipe, TrainingError


@pytest.mark.parametrize("warm_up", [0.0, 0.2, 1.0])
def test_rate_rises_to_the_peak_and_falls(warm_up):
    recipe, steps = Recipe(peak_rate=0.01, warm_up=warm_up), 101
    rates = [recipe.rate(step, steps) for step in range(steps)]
    peak = round(warm_up * (steps - 1))
    assert rates[peak] == pytest.approx(0.01) == max(rates)
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    if warm_up > 0:
        assert rates[0] == pytest.approx(0.01 / START_DIVISOR)
    if warm_up < 1:
        assert rates[-1] == pytest.approx(0.01 / END_DIVISOR)


def test_rate_is_torchs_one_cycle():
    """Torch counts the end of its warm-up a step earlier: the curves differ by no more than a step's slope."""
    recipe, steps = Recipe(), 5000
    optimizer = torch.optim.AdamW([torch.zeros(1)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.peak_rate,
        steps,
        pct_start=recipe.warm_up,
        div_factor=START_DIVISOR,
        final_div_factor=END_DIVISOR / START_DIVISOR,
    )
    for step in range(steps):
        assert recipe.rate(step, steps) == pytest.approx(optimizer.param_groups[0]["lr"], abs=recipe.peak_rate / 500)
        optimizer.step()
        if step < steps - 1:
            schedule.step()


def test_rate_of_a_single_step_is_legal():
    assert 0 < Recipe().rate(0, 1) <= Recipe().peak_rate


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("preset", "b9", "one of b0, b1, b2, b3"),
        ("resolution", 48, "32 or 64"),
        ("epochs", 0, "at least 1"),
        ("batch", 1, "at least 2"),
        ("peak_rate", 0, "above 0 and at most 1"),
        ("peak_rate", 1.5, "above 0 and at most 1"),
        ("peak_rate", float("nan"), "above 0 and at most 1"),
        ("warm_up", 1.01, "in 0..1"),
        ("weight_decay", -0.1, "in 0..1"),
        ("label_smoothing", 1, "at least 0 and below 1"),
        ("clip", 0, "above 0"),
        ("padding", 32, "in 0..31"),
        ("cutout", 33, "in 0..32"),
        ("cutout_share", 2, "in 0..1"),
        ("brightness", 1, "at least 0 and below 1"),
        ("statistics_images", 1, "at least 2"),
        ("seed", -1, "in 0..2**32 - 1"),
        ("seed", 1 << 32, "in 0..2**32 - 1"),
        ("epochs", 2.0, "an integer, at least 1"),
        ("batch", True, "an integer, at least 2"),
        ("clip", "5", "a number, above 0"),
        ("preset", 0, "a text, one of b0, b1, b2, b3"),
    ],
)
def test_refuses(field, value, rule):
    with pytest.raises(TrainingError) as caught:
        dataclasses.replace(Recipe(), **{field: value})
    assert str(caught.value) == f"{field} must be {rule}, not {value!r}"


def test_steps_are_whole_batches():
    recipe = Recipe(batch=8)
    assert [recipe.steps_per_epoch(images) for images in (8, 15, 16)] == [1, 1, 2]
    with pytest.raises(TrainingError, match="batch must be at most the number of training images 7, not 8"):
        recipe.steps_per_epoch(7)


def test_limits_are_legal():
    Recipe(
        epochs=1,
        batch=2,
        peak_rate=1,
        warm_up=0,
        weight_decay=0,
        label_smoothing=0,
        padding=31,
        cutout=32,
        cutout_share=1,
        brightness=0,
        statistics_images=2,
        seed=(1 << 32) - 1,
        resolution=32,
        preset="b3",
    )
    Recipe(warm_up=1, weight_decay=1, padding=0, cutout=0, cutout_share=0, seed=0)
