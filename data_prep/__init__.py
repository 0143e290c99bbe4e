"""Sources of events: one module per public data set, and `simulate` for events made here. Each turns raw files into a store."""
