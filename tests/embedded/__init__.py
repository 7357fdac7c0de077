"""Tests of the embedded server: real processes, really killed."""
