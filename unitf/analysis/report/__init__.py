"""Pages about runs: what one has learned, and several beside each other."""

from unitf.analysis.report.page_of_comparison import compared, costs, names_of, write_comparison
from unitf.analysis.report.page_of_run import write_report
from unitf.analysis.report.recorded_run import RecordedRun

__all__ = ["RecordedRun", "compared", "costs", "names_of", "write_comparison", "write_report"]
