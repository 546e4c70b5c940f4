"""What comes from outside, checked at the door: pictures and questions."""
