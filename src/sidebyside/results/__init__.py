"""What measurements came to, as data: one file a study, of the same name as in the other rooms."""
