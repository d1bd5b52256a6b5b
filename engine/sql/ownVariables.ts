/** The run's own time, which every job has. */
export const RUN_AT = 'run_at'
/** What set checks gave as `value` in the last run that loaded, by their names: a map, empty where nothing is known. */
export const LAST_VALUES = 'last_values'
