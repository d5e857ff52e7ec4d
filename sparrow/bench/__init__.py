"""Measuring a model: worlds of known truth -> outcomes, scores, a report."""
