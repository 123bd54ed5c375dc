"""Attribution methods, one file per family, behind one registry."""
