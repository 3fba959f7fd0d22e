//! Ways to send a report. Each is tried; what could not be sent is told, never swallowed.
