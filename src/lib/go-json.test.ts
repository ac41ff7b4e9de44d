import { expect, test } from 'vitest'
import { goJson } from './go-json.ts'

// Recorded from a Go program: json.Marshal.
test.each([
  [{ b: 1, a: [true, null], c: undefined }, '{"b":1,"a":[true,null]}'],
  ['<a href="x">&\u2028\u2029', '"\\u003ca href=\\"x\\"\\u003e\\u0026\\u2028\\u2029"'],
  ['\b\f\n\r\t\u0001\u001f\u007f\\/', '"\\b\\f\\n\\r\\t\\u0001\\u001f\u007f\\\\/"'],
  ['\ud800x', '"\ufffdx"'],
  ['\u00e9\u6f22\u{1f600}', '"\u00e9\u6f22\u{1f600}"'],
  ['', '""'],
  [[], '[]'],
])('%j', (value, text) => {
  expect(goJson(value)).toBe(text)
})
