"""Floor 4: tasks, such as classification: models, losses, training, prediction and scores."""
