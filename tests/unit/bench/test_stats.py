"""The bench's arithmetic: medians, spreads, ratios over rounds."""

import pytest
from bench.stats import Better, advantage, ratio, rotated, summarize


def test_a_summary_has_the_median_the_ends_and_the_quartiles_distance() -> None:
    found = summarize([30, 10, 20, 40, 50])
    assert (found.count, found.median, found.low, found.high) == (5, 30, 10, 50)
    assert found.spread == pytest.approx((40 - 20) / 2 / 30)


def test_one_sample_and_zeros_have_no_spread() -> None:
    assert summarize([7]).spread == 0
    assert summarize([0, 0, 0]).spread == 0
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


@pytest.mark.parametrize(
    ("ours", "theirs", "better", "expected"),
    [
        (10, 40, Better.LOWER, 4),
        (40, 10, Better.LOWER, 0.25),
        (10, 40, Better.HIGHER, 0.25),
        (0, 5, Better.LOWER, float("inf")),
        (0, 0, Better.LOWER, 1),
    ],
)
def test_an_advantage_is_over_one_when_ours_is_better(
    ours: float, theirs: float, better: Better, expected: float
) -> None:
    assert advantage(ours, theirs, better) == expected


def test_a_ratio_pairs_the_rounds() -> None:
    # The second round was slow on both sides: its own ratio is no worse for it.
    found = ratio([10, 100, 10], [40, 300, 50], Better.LOWER)
    assert found.of_medians == 5
    assert (found.low, found.high, found.rounds) == (3, 5, 3)


def test_a_ratio_uses_the_rounds_that_both_have() -> None:
    assert ratio([10, 10, 10], [20], Better.LOWER).rounds == 1


def test_everybody_is_first_once() -> None:
    assert [rotated("abc", turn) for turn in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]
    assert rotated([], 3) == []
