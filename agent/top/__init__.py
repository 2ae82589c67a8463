"""`commune top`: the technician's live view of a box, over SSH. A process of its own; it only reads."""
