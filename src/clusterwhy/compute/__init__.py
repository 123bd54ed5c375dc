"""Where and how work is computed: workers, memory and disk, seeds."""
