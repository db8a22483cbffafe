"""The probe: what a study's work costs on this machine, measured."""
