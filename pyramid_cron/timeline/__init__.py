"""A day or a night of an application: what ran, what did not, and what is to come. Without HTTP or a command line."""
