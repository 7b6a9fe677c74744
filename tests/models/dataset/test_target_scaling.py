"""Targets are learnt with mean 0 and variance 1, and turned back."""

import numpy as np
import pytest

from models.dataset.target_scaling import TargetScale


def test_targets_are_standardised_and_restored() -> None:
    targets = np.array([1.7e9, 1.7e9 + 10, 1.7e9 + 20])
    scale = TargetScale.of(targets)
    standardised = scale.standardise(targets)
    assert (standardised.mean(), standardised.std()) == pytest.approx((0, 1))
    np.testing.assert_allclose(scale.restore(standardised.astype(np.float32)), targets, rtol=0, atol=1e-5)


def test_equal_targets_have_a_scale() -> None:
    assert TargetScale.of(np.full(3, 7.0)) == TargetScale(7.0, 1.0)


@pytest.mark.filterwarnings("error")
def test_targets_without_a_finite_variance_are_refused() -> None:
    with pytest.raises(ValueError, match="the targets are too large"):
        TargetScale.of(np.array([1e308, -1e308]))
