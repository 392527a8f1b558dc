import test from 'ava';
import { Reader, Writer } from '../../protocol/bytes.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { type Fields, FieldWriter, readFields } from '../../protocol/fields.ts';

function written(add: (writer: FieldWriter) => void): Reader {
  const fields = new FieldWriter();
  add(fields);
  const writer = new Writer();
  fields.writeTo(writer);
  return new Reader(writer.done());
}

const number = (fields: Fields, tag: number): number | undefined =>
  fields.optional(tag, (reader) => reader.u16());

test('fields come back by their tags; one without a value is left out', (t) => {
  const reader = written((fields) =>
    fields
      .add(1, 10, (writer, value) => writer.u16(value))
      .add(2, undefined, (writer) => writer.u16(0))
      .addCritical(3, 30, (writer, value) => writer.u16(value)),
  );
  const fields = readFields(reader, [1, 2, 3]);
  reader.end();
  t.is(number(fields, 1), 10);
  t.is(number(fields, 2), undefined);
  t.is(
    fields.required(3, (value) => value.u16()),
    30,
  );
  t.deepEqual(fields.unknownCritical, []);
});

test('an unknown field is skipped; an unknown critical one is told', (t) => {
  const reader = written((fields) =>
    fields
      .add(8, 1, (writer, value) => writer.u8(value))
      .addCritical(9, 1, (writer) => writer.u8(1)),
  );
  t.deepEqual(readFields(reader, [1]).unknownCritical, [9]);
  reader.end();
});

test('a required field that is missing, or a value with a rest, is refused', (t) => {
  const fields = readFields(
    written((list) => list.add(1, 1, (writer) => writer.u32(1))),
    [1],
  );
  t.throws(() => fields.required(2, (reader) => reader.u16()), { instanceOf: ProtocolError });
  t.throws(() => number(fields, 1), { instanceOf: ProtocolError });
});

test('a tag stands once, critical or not', (t) => {
  const twice = written((fields) =>
    fields.add(1, 1, (writer) => writer.u8(1)).addCritical(1, 1, (writer) => writer.u8(1)),
  );
  t.throws(() => readFields(twice, [1]), { instanceOf: ProtocolError });
});
