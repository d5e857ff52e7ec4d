"""The neural parts: from frames and words to boxes, states and masks."""
