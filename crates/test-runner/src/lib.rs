//! Runs unit, functional, integration and load tests in containers and reads their reports.
