// quotas: what an application that uses the JavaScript clients, both generations, sees of the limits of its user, who may
// have three patterns of one shape.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const servers = process.env.E2E_ADDRESS;

// What it was told, subject by subject; '' where it got what it asked for.
async function tell(connect, textOf) {
        const nc = await connect({ servers, user: 'ann', pass: 'plain', reconnect: false });
        const errors = [], told = [];
        (async () => {
                for await (const status of nc.status())
                        if (status.type === 'error')
                                errors.push(textOf(status));
        })();
        const subscribe = async (subject, options = { callback: () => {} }) => {
                const sub = nc.subscribe(subject, options);
                await nc.flush();
                await new Promise(setImmediate); // its own errors reach an application a moment later
                told.push(`${subject.slice(0, 8)} ${errors.splice(0).join()}`);
                return sub;
        };
        const first = await subscribe('a.*');
        await subscribe('b.*');
        await subscribe('*.c');
        const heard = new Promise((resolve) => subscribe('d', { max: 1, callback: (_, message) => resolve(message.subject) }));
        await nc.flush();
        await subscribe('e');
        // It goes on with what it has, and has room again for what it gives up.
        nc.publish('d', 'hello');
        assert.equal(await heard, 'd');
        first.unsubscribe();
        await nc.flush();
        await subscribe('f');
        await subscribe('x'.repeat(1025));
        await nc.close();
        return told;
}

const full = 'maximum subscriptions exceeded';
const expected = ['a.* ', 'b.* ', `*.c ${full} - too many positions of wildcards`, 'd ', `e ${full}`, 'f ', 'xxxxxxxx Invalid Subject'];
assert.deepEqual(await tell(require('@nats-io/transport-node').connect, (status) => status.error.message), expected);
// The older one tells of errors by a code only.
assert.deepEqual(await tell(require('nats').connect, (status) => status.data),
        expected.map((line) => line.replace(/ .+/, ' NATS_PROTOCOL_ERR')));
process.exit(0);
