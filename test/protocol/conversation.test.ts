import test from 'ava';
import fc from 'fast-check';
import {
  Conversation,
  type Event,
  mayComeLate,
  rules,
  type Speaker,
  states,
} from '../../protocol/conversation.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import type { Frame } from '../../protocol/frames.ts';
import { frameTypes } from './helpers/arbitraries.ts';
import { documentedRules, quoted, section } from './helpers/doc.ts';
import { type ConversationFrame, frameFor } from './helpers/events.ts';
import { goldens } from './helpers/goldens.ts';
import { runConversation } from './helpers/two-ends.ts';

const documented = documentedRules();
const speakers: readonly Speaker[] = ['sender', 'receiver'];
const suffixed: readonly Event[] = [
  'entries.last',
  'sums.last',
  'end.early',
  'offers.eager',
  'bench.receive',
  'bench.send',
  'bench.hash',
];
const events: readonly Event[] = [...frameTypes, ...suffixed];

interface Step {
  readonly speaker: Speaker;
  readonly event: string;
}

/** The shortest ways from idle to every state, by the specification's table. */
function waysToStates(): Map<string, Step[]> {
  const ways = new Map<string, Step[]>([['idle', []]]);
  for (const [state, way] of ways) {
    for (const speaker of speakers) {
      for (const [event, next] of documented.get(state)?.[speaker] ?? []) {
        if (!ways.has(next)) ways.set(next, [...way, { speaker, event }]);
      }
    }
  }
  return ways;
}

/** Says `steps`; rounds of `want` count up as they must. */
function replay(steps: readonly Step[]): { conversation: Conversation; round: number } {
  const conversation = new Conversation();
  let round = 0;
  for (const { speaker, event } of steps) {
    if (event === 'want') round += 1;
    conversation.advance(speaker, frameFor(event, round));
  }
  return { conversation, round };
}

test('the states of the specification are those of the code', (t) => {
  t.deepEqual([...documented.keys()], [...states]);
  t.deepEqual([...waysToStates().keys()].toSorted(), [...states].toSorted());
});

for (const [state, way] of waysToStates()) {
  test(`a request that is ${state} takes what the specification allows, and nothing else`, (t) => {
    for (const speaker of speakers) {
      for (const event of events) {
        const { conversation, round } = replay(way);
        t.is(conversation.state, state as typeof conversation.state);
        const frame = frameFor(event, event === 'want' ? round + 1 : round);
        const next = documented.get(state)?.[speaker].get(eventOf(frame, round));
        const what = `${speaker}: ${event}`;
        if (next === undefined) {
          const error = t.throws(
            () => conversation.advance(speaker, frame),
            { instanceOf: ProtocolError },
            what,
          );
          t.is(error?.failure, 'protocol', what);
          t.is(conversation.state, state as typeof conversation.state, what);
        } else {
          conversation.advance(speaker, frame);
          t.is(conversation.state, next as typeof conversation.state, what);
        }
      }
    }
  });
}

/** An `end.early` needs an earlier round; where there is none, what is said is an `end`. */
function eventOf(frame: ConversationFrame, round: number): string {
  switch (frame.type) {
    case 'entries':
      return frame.last ? 'entries.last' : 'entries';
    case 'sums':
      return frame.last ? 'sums.last' : 'sums';
    case 'offers':
      return frame.eager ? 'offers.eager' : 'offers';
    case 'bench':
      return `bench.${frame.part}`;
    case 'end':
      return frame.round < round ? 'end.early' : 'end';
    default:
      return frame.type;
  }
}

test('the rules of the code are those of the specification', (t) => {
  const coded = Object.entries(rules).map(([state, { sender, receiver }]) => [
    state,
    { sender: new Map(Object.entries(sender)), receiver: new Map(Object.entries(receiver)) },
  ]);
  t.deepEqual(
    [...documented].map(([state, { sender, receiver }]) => [
      state,
      { sender: sorted(sender), receiver: sorted(receiver) },
    ]),
    coded.map(([state, both]) => {
      const { sender, receiver } = both as {
        sender: Map<string, string>;
        receiver: Map<string, string>;
      };
      return [state, { sender: sorted(sender), receiver: sorted(receiver) }];
    }),
  );
});

const sorted = (map: ReadonlyMap<string, string>): [string, string][] =>
  [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));

test('may asks what advance would do', (t) => {
  for (const [state, way] of waysToStates()) {
    for (const speaker of speakers) {
      for (const event of events) {
        const { conversation } = replay(way);
        t.is(
          conversation.may(speaker, event),
          documented.get(state)?.[speaker].has(event) ?? false,
        );
      }
    }
  }
});

test('the frames that may come late are those of the specification', (t) => {
  const text = section('Last words and draining').split('**Late frames.**')[1] ?? '';
  t.deepEqual(quoted(text).toSorted(), [...mayComeLate].toSorted());
});

test('rounds count up by one, and an end answers one that was asked for', (t) => {
  const moving = [
    { speaker: 'sender', event: 'offer' },
    { speaker: 'receiver', event: 'want' },
  ] as const;
  for (const round of [0, 1, 3]) {
    const { conversation } = replay(moving);
    t.throws(() => conversation.advance('receiver', frameFor('want', round)), {
      instanceOf: ProtocolError,
    });
  }
  const { conversation } = replay(moving);
  t.throws(() => conversation.advance('sender', frameFor('end', 2)), { instanceOf: ProtocolError });
  conversation.advance('receiver', frameFor('want', 2));
  conversation.advance('sender', frameFor('end', 1));
  t.is(conversation.state, 'moving');
  conversation.advance('sender', frameFor('end', 2));
  t.is(conversation.state, 'ended');
});

test('an end of a page answers round 0 until something is wanted again', (t) => {
  const { conversation } = replay([
    { speaker: 'sender', event: 'offers.eager' },
    { speaker: 'receiver', event: 'answers' },
  ]);
  conversation.advance('sender', frameFor('end', 0));
  t.is(conversation.state, 'pageEnded');
  conversation.advance('receiver', frameFor('want', 1));
  conversation.advance('sender', frameFor('end', 0));
  t.is(conversation.state, 'pageMoving');
  conversation.advance('sender', frameFor('end', 1));
  t.is(conversation.state, 'pageEnded');
});

test('it tells who has left, and what is closed', (t) => {
  const { conversation } = replay([
    { speaker: 'sender', event: 'offer' },
    { speaker: 'sender', event: 'error' },
  ]);
  t.true(conversation.hasLeft('sender'));
  t.false(conversation.hasLeft('receiver'));
  t.false(conversation.closed);
  conversation.advance('receiver', frameFor('cancelled', 0));
  t.true(conversation.closed);
  t.false(conversation.hasLeft('sender'));
});

test('two ends that keep to the rules never take a legal frame for an illegal one', (t) => {
  const opening = fc.constantFrom(
    ...(documented.get('idle')?.sender.keys() ?? []),
    ...(documented.get('idle')?.receiver.keys() ?? []),
  );
  const property = fc.property(
    opening,
    fc.array(fc.nat(), { maxLength: 120 }),
    (event, choices) => {
      const { client, daemon } = runConversation(documented, event, choices);
      t.is(client.state, daemon.state);
    },
  );
  fc.assert(property, { numRuns: 20_000 });
});

test('the frames of the connection have no place in a request', (t) => {
  for (const { frame } of goldens) {
    if (frame.request !== 0 || frame.type === 'error') continue;
    for (const [, way] of waysToStates()) {
      const { conversation } = replay(way);
      const outside: Frame = frame;
      t.throws(() => conversation.advance('sender', outside), { instanceOf: ProtocolError });
      t.throws(() => conversation.advance('receiver', outside), { instanceOf: ProtocolError });
    }
  }
});
