"""Two studies, or two recordings that a study was applied to, side by side."""
