"""The only room that imports Ultralytics: train and predict."""
