"""The structures task (brain, csp, lv): its columns, fitted thresholds and summary."""
