package main

import "os"

// markers are none: processes send each other no signals here.
var markers []os.Signal

func isMarker(os.Signal) bool { return false }

func mark() bool { return false }
