"""The page that people open, share and print: one HTML file that needs neither a server nor the network."""
