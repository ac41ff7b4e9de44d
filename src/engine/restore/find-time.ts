import { HoldfastError } from '../../lib/errors.ts'
import { daysOfDate, localTimeOfWall, type Timestamp, wallFields } from '../../lib/go-time.ts'

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

const clock = '(?<hour>\\d{1,2}):(?<minute>\\d\\d)'
const seconds = ':(?<second>\\d\\d)(?:[.,](?<fraction>\\d+))?'
const zone = '(?: +(?<sign>[+-])(?<zoneHour>\\d\\d)(?<zoneMinute>\\d\\d)| +(?<zoneName>[A-Za-z]+(?:[+-]\\d+)?))?'

/** Day first or year first, then the time of day or a part of it; a zone only after seconds. Or as `date` prints it, with its offset. */
const forms: readonly RegExp[] = [
  ...['(?<year>\\d{4})-(?<month>\\d\\d)-(?<day>\\d\\d)', '(?<day>\\d\\d)\\.(?<month>\\d\\d)\\.(?<year>\\d{4})'].map(
    (date) => new RegExp(`^${date}(?: +${clock}(?:${seconds}${zone})?)?$`),
  ),
  new RegExp(
    `^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) +(?<monthName>[A-Za-z]{3}) +(?<day>\\d{1,2}) +${clock}${seconds} +` +
      '(?<sign>[+-])(?<zoneHour>\\d\\d)(?<zoneMinute>\\d\\d) +[A-Za-z+-][A-Za-z0-9+-]{2,4} +(?<year>\\d{4})$',
    'i',
  ),
]

/**
 * Reads a time as restic's `find --oldest` and `--newest` take it, such as `2024-03-01`, `2024-03-01 14:30`, `01.03.2024 14:30:05 +0100`. What is
 * left out is zero; without a zone it is that of this machine. Of zone names only `UTC`, `GMT` and `GMT+3` are known: restic takes most
 * others for UTC, which finds the wrong files.
 *
 * @throws HF_PATTERN_INVALID
 */
export function parseFindTime(text: string): Timestamp {
  for (const form of forms) {
    const groups = form.exec(text)?.groups
    if (groups !== undefined) return timeOf(groups) ?? refuse(text)
  }
  return refuse(text)
}

function timeOf(groups: Readonly<Record<string, string | undefined>>): Timestamp | undefined {
  const field = (name: string): number => Number(groups[name] ?? 0)
  const month = groups.monthName === undefined ? field('month') : months.indexOf(groups.monthName.toLowerCase()) + 1
  const [year, day, hour, minute, second] = ['year', 'day', 'hour', 'minute', 'second'].map(field) as [
    number,
    number,
    number,
    number,
    number,
  ]
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59 || field('zoneMinute') > 59) return undefined
  const start = daysOfDate(year, month, day) * 86_400
  if (wallFields({ seconds: start, nanoseconds: 0, offsetSeconds: 0 }).day !== day) return undefined
  const wall = start + hour * 3600 + minute * 60 + second
  const nanoseconds = Number((groups.fraction ?? '').slice(0, 9).padEnd(9, '0'))
  const offsetSeconds = zoneOffset(groups)
  if (offsetSeconds === undefined) return undefined
  if (offsetSeconds === 'local') return localTimeOfWall(wall, nanoseconds)
  return { seconds: wall - offsetSeconds, nanoseconds, offsetSeconds }
}

/** undefined for a zone that is not known. */
function zoneOffset(groups: Readonly<Record<string, string | undefined>>): number | 'local' | undefined {
  if (groups.sign !== undefined)
    return (groups.sign === '-' ? -1 : 1) * (Number(groups.zoneHour) * 3600 + Number(groups.zoneMinute) * 60)
  if (groups.zoneName === undefined) return 'local'
  const hours = /^(?:UTC|GMT([+-]\d{1,2})?)$/.exec(groups.zoneName)
  return hours === null || Math.abs(Number(hours[1] ?? 0)) > 23 ? undefined : Number(hours[1] ?? 0) * 3600
}

function refuse(text: string): never {
  throw new HoldfastError('HF_PATTERN_INVALID', `unable to parse time: ${JSON.stringify(text)}`, {
    context: { text },
    hint: 'write it like 2024-03-01, 2024-03-01 14:30 or 2024-03-01 14:30:05 +0100',
  })
}
