"""What makes models answer: one file a backend, its heavy imports inside its methods."""
