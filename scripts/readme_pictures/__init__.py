"""The pictures of the README, each drawn by the program itself from a recorded farm whose clock stands still."""
