"""Studies of finished runs: ladder, rejudge, reselect, calibrate, judge sensitivity."""
