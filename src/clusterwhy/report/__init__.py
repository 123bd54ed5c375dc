"""The page of a study: one HTML file that needs neither a server nor the network."""
