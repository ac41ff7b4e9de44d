import { z } from 'zod'
import { type CalendarDuration, isNoDuration, parseCalendarDuration } from '../../lib/durations.ts'
import { type FilesSettings, pathKeys } from '../files/settings.ts'

/** Keys of a source of type `logs`. */
export interface LogsSettings extends Pick<FilesSettings, 'paths' | 'exclude' | 'iexclude'> {
  /** Only what was written in this time before a run; undefined: everything. */
  readonly window: CalendarDuration | undefined
}

const window: z.ZodType<CalendarDuration | undefined> = z
  .string()
  .transform((text, context) => {
    try {
      const duration = parseCalendarDuration(text)
      if (!isNoDuration(duration)) return duration
    } catch {
      // Told below, in the words of the configuration.
    }
    context.addIssue({ code: 'custom', message: 'must be a time like 7d, 1m or 36h', input: text })
    return z.NEVER
  })
  .optional()
  .describe('Only what was written in this time before a run, as 7d.')

export const logsSettings: z.ZodType<LogsSettings> = z
  .strictObject({ ...pathKeys, window })
  .transform(({ window: since, ...rest }) => ({ ...rest, window: since }))
