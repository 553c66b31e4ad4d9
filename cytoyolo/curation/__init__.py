"""Labels and out-of-fold predictions are compared: findings, and how good each label is."""
