// javascript: what an application does with a NATS client, said once for both generations of the JavaScript library.
import test from 'node:test';
import assert from 'node:assert/strict';
import { address, restartServer } from './driver.mjs';

const PATIENCE_MS = 20000 * Number(process.env.E2E_PATIENCE ?? 1);

// Takes `count` messages of a subscription, as strings or through `pick`.
async function take(subscription, count, pick = (message) => message.string()) {
        const taken = [];
        for await (const message of subscription) {
                taken.push(pick(message));
                if (taken.length === count)
                        break;
        }
        return taken;
}

function until(promise, what) {
        let timer;
        const late = new Promise((_, reject) => {
                timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS);
        });
        return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function suite(label, library, isNoResponders) {
        const { connect, headers, createInbox, Empty } = library;
        const range = (count) => Array.from({ length: count }, (_, index) => index);

        // A test that gets `open(options)`; what it opened is closed behind it, whatever happens.
        function it(sentence, play) {
                test(`${label}: ${sentence}`, { timeout: 2 * PATIENCE_MS }, async () => {
                        const opened = [];
                        const open = async (options = {}) => {
                                const connection = await connect({ servers: address, timeout: PATIENCE_MS, ...options });
                                opened.push(connection);
                                return connection;
                        };
                        try {
                                await play(open);
                        } finally {
                                await Promise.all(opened.map((connection) => connection.close()));
                        }
                });
        }

        it('connects and learns of the server', async (open) => {
                const nc = await open({ name: 'a test' });
                assert.equal(nc.getServer(), address);
                assert.match(nc.info.version, /^\d+\.\d+\.\d+/);
                assert.equal(nc.info.headers, true);
                assert.equal(nc.info.max_payload, 1048576);
        });

        it('gets what it publishes, byte for byte', async (open) => {
                const nc = await open();
                const sub = nc.subscribe('js.bytes');
                const payload = Uint8Array.from(range(256));
                nc.publish('js.bytes', payload);
                nc.publish('js.bytes', Empty);
                nc.publish('js.bytes', 'h\u00e9llo \u20ac');
                const [bytes, empty, text] = await until(take(sub, 3, (message) => message.data), 'three messages');
                assert.deepEqual(Uint8Array.from(bytes), payload);
                assert.equal(empty.length, 0);
                assert.equal(new TextDecoder().decode(text), 'h\u00e9llo \u20ac');
        });

        it('reaches another connection', async (open) => {
                const [one, other] = [await open(), await open()];
                const sub = one.subscribe('js.other');
                await one.flush();
                other.publish('js.other', 'hello');
                assert.deepEqual(await until(take(sub, 1), 'a message'), ['hello']);
        });

        it('hears of wildcards what matches and nothing else', async (open) => {
                const nc = await open();
                const heard = { star: [], rest: [], mid: [] };
                const into = (list) => ({ callback: (_, message) => list.push(message.subject) });
                nc.subscribe('js.w.*', into(heard.star));
                nc.subscribe('js.w.>', into(heard.rest));
                nc.subscribe('js.*.c', into(heard.mid));
                for (const subject of ['js.w', 'js.w.a', 'js.w.a.b', 'js.w.c', 'js.x.c', 'js.w.c.d', 'other'])
                        nc.publish(subject);
                await nc.flush();
                assert.deepEqual(heard.star, ['js.w.a', 'js.w.c']);
                assert.deepEqual(heard.rest, ['js.w.a', 'js.w.a.b', 'js.w.c', 'js.w.c.d']);
                assert.deepEqual(heard.mid, ['js.w.c', 'js.x.c']);
        });

        it('gets one copy for each subscription', async (open) => {
                const nc = await open();
                const subs = ['js.copy.a', 'js.copy.*', 'js.>', 'js.copy.a'].map((subject) => nc.subscribe(subject));
                nc.publish('js.copy.a', 'x');
                await nc.flush();
                assert.deepEqual(subs.map((sub) => sub.getReceived()), [1, 1, 1, 1]);
        });

        it('carries headers', async (open) => {
                const [one, other] = [await open(), await open()];
                const sub = one.subscribe('js.headers');
                await one.flush();
                const h = headers();
                h.append('Key', 'first');
                h.append('Key', 'second');
                h.set('Other', 'with spaces: and colons');
                other.publish('js.headers', 'body', { headers: h });
                other.publish('js.headers', Empty, { headers: h });
                other.publish('js.headers', 'bare');
                const [full, empty, bare] = await until(take(sub, 3, (message) => message), 'three messages');
                for (const message of [full, empty]) {
                        assert.deepEqual(message.headers.values('Key'), ['first', 'second']);
                        assert.equal(message.headers.get('Other'), 'with spaces: and colons');
                }
                assert.equal(full.string(), 'body');
                assert.equal(empty.string(), '');
                assert.equal(bare.string(), 'bare');
                assert.equal(bare.headers?.keys().length ?? 0, 0);
        });

        it('shares work in a queue group', async (open) => {
                const members = await Promise.all(range(3).map(() => open()));
                const publisher = await open();
                const subs = members.map((nc) => nc.subscribe('js.queue.*', { queue: 'team' }));
                const all = publisher.subscribe('js.queue.*');
                await Promise.all([...members, publisher].map((nc) => nc.flush()));
                for (const index of range(900))
                        publisher.publish('js.queue.a', String(index));
                await publisher.flush();
                await Promise.all(members.map((nc) => nc.flush()));
                const shares = subs.map((sub) => sub.getReceived());
                assert.equal(all.getReceived(), 900);
                assert.equal(shares.reduce((a, b) => a + b), 900, `${shares}`);
                // A third each; seven standard deviations of 14.
                for (const share of shares)
                        assert.ok(share > 200 && share < 400, `${shares}`);
        });

        it('asks and is answered', async (open) => {
                const [service, client] = [await open(), await open()];
                service.subscribe('js.double', { callback: (_, message) => message.respond(String(2 * Number(message.string()))) });
                await service.flush();
                for (const noMux of [false, true]) {
                        const answer = await client.request('js.double', '21', { timeout: PATIENCE_MS, noMux });
                        assert.equal(answer.string(), '42');
                }
        });

        it('asks two hundred times at once', async (open) => {
                const [service, client] = [await open(), await open()];
                service.subscribe('js.echo.*', { callback: (_, message) => message.respond(message.subject) });
                await service.flush();
                const answers = await Promise.all(range(200).map((index) =>
                        client.request(`js.echo.${index}`, '', { timeout: PATIENCE_MS })));
                assert.deepEqual(answers.map((answer) => answer.string()), range(200).map((index) => `js.echo.${index}`));
        });

        it('asks many and takes every answer', async (open) => {
                const [service, client] = [await open(), await open()];
                service.subscribe('js.many', {
                        callback: (_, message) => range(5).forEach((index) => message.respond(String(index))),
                });
                await service.flush();
                const answers = [];
                for await (const answer of await client.requestMany('js.many', '', { maxMessages: 5, maxWait: PATIENCE_MS, strategy: 'count' }))
                        answers.push(answer.string());
                assert.deepEqual(answers, ['0', '1', '2', '3', '4']);
        });

        it('is told at once when nobody can answer', async (open) => {
                const nc = await open();
                for (const noMux of [false, true]) {
                        const began = performance.now();
                        await assert.rejects(nc.request('js.nobody', '', { timeout: PATIENCE_MS, noMux }), isNoResponders);
                        assert.ok(performance.now() - began < PATIENCE_MS / 2);
                }
        });

        it('waits in vain for someone who does not answer', async (open) => {
                const nc = await open();
                nc.subscribe('js.mute', { callback: () => { } });
                await assert.rejects(nc.request('js.mute', '', { timeout: 100 }), (error) => !isNoResponders(error));
        });

        it('gets exactly as many as it asked for', async (open) => {
                const nc = await open();
                const atOnce = nc.subscribe('js.max', { max: 5 });
                const later = nc.subscribe('js.max');
                for (const index of range(3))
                        nc.publish('js.max', String(index));
                await nc.flush();
                later.unsubscribe(4);
                for (const index of range(10))
                        nc.publish('js.max', String(3 + index));
                assert.deepEqual(await until(take(atOnce, 99), 'the end'), ['0', '1', '2', '3', '4']);
                assert.deepEqual(await until(take(later, 99), 'the end'), ['0', '1', '2', '3']);
        });

        it('hears nothing more once it has unsubscribed', async (open) => {
                const nc = await open();
                const sub = nc.subscribe('js.stop');
                nc.publish('js.stop');
                await nc.flush();
                sub.unsubscribe();
                nc.publish('js.stop');
                await nc.flush();
                assert.equal(sub.getReceived(), 1);
        });

        it('drains a subscription: what is on its way still arrives', async (open) => {
                const nc = await open();
                const sub = nc.subscribe('js.drain');
                for (const index of range(500))
                        nc.publish('js.drain', String(index));
                const taken = take(sub, 1000);
                await until(sub.drain(), 'the drained subscription');
                nc.publish('js.drain', 'too late');
                assert.equal((await until(taken, 'the end')).length, 500);
        });

        it('drains a connection: what it published has gone out when it closes', async (open) => {
                const [one, other] = [await open(), await open()];
                const sub = other.subscribe('js.leave');
                await other.flush();
                for (const index of range(1000))
                        one.publish('js.leave', String(index));
                await until(one.drain(), 'the drained connection');
                assert.equal(one.isClosed(), true);
                assert.equal((await until(take(sub, 1000), 'all messages')).length, 1000);
        });

        it('measures a round trip and flushes', async (open) => {
                const nc = await open();
                assert.ok(await until(nc.rtt(), 'a round trip') >= 0);
                await Promise.all(range(20).map(() => nc.flush()));
        });

        it('does not hear itself without echo', async (open) => {
                const [silent, other] = [await open({ noEcho: true }), await open()];
                const [own, others] = [silent.subscribe('js.echo'), other.subscribe('js.echo')];
                await other.flush();
                await silent.flush();
                silent.publish('js.echo', 'mine');
                await silent.flush();
                other.publish('js.echo', 'yours');
                await other.flush();
                await silent.flush();
                assert.equal(own.getReceived(), 1);
                assert.equal(others.getReceived(), 2);
        });

        it('speaks with +OK after every word', async (open) => {
                const nc = await open({ verbose: true, pedantic: true });
                const sub = nc.subscribe('js.loud');
                for (const index of range(100))
                        nc.publish('js.loud', String(index));
                assert.equal((await until(take(sub, 100), 'all messages')).length, 100);
        });

        it('gets a hundred thousand messages in order', async (open) => {
                const [publisher, subscriber] = [await open(), await open()];
                const count = 100000;
                let next = 0, wrong = 0;
                const done = new Promise((resolve) => {
                        subscriber.subscribe('js.flow', {
                                callback: (_, message) => {
                                        wrong += Number(message.string()) !== next;
                                        if (++next === count)
                                                resolve();
                                },
                        });
                });
                await subscriber.flush();
                for (const index of range(count)) {
                        publisher.publish('js.flow', String(index));
                        if (index % 5000 === 0)
                                await publisher.flush();
                }
                await until(done, `message ${count}, got ${next}`);
                assert.equal(wrong, 0);
        });

        it('fans out to fifty connections, in order, nothing missing', async (open) => {
                const connections = await Promise.all(range(50).map(() => open()));
                const publisher = await open();
                const heard = connections.map(() => []);
                connections.forEach((nc, index) =>
                        nc.subscribe('js.fan.>', { callback: (_, message) => heard[index].push(Number(message.string())) }));
                await Promise.all(connections.map((nc) => nc.flush()));
                for (const index of range(1000))
                        publisher.publish(`js.fan.${index % 10}`, String(index));
                await publisher.flush();
                await Promise.all(connections.map((nc) => nc.flush()));
                for (const list of heard)
                        assert.deepEqual(list, range(1000));
        });

        it('publishes the largest payload and is kept from a larger one', async (open) => {
                const nc = await open();
                const sub = nc.subscribe('js.big');
                const payload = new Uint8Array(nc.info.max_payload).map((_, index) => index * 7);
                nc.publish('js.big', payload);
                const [got] = await until(take(sub, 1, (message) => message.data), 'the large message');
                assert.equal(Buffer.compare(Buffer.from(got), Buffer.from(payload)), 0);
                assert.throws(() => nc.publish('js.big', new Uint8Array(nc.info.max_payload + 1)), /max.?payload/i);
        });

        it('holds five thousand subscriptions', async (open) => {
                const nc = await open();
                let heard = 0;
                for (const index of range(5000))
                        nc.subscribe(`js.herd.${index}`, { callback: (_, message) => { heard += message.subject === `js.herd.${index}`; } });
                await nc.flush();
                for (const index of range(5000))
                        nc.publish(`js.herd.${index}`);
                await nc.flush();
                assert.equal(heard, 5000);
        });

        it('comes and goes a hundred times', async (open) => {
                for (const index of range(100)) {
                        const nc = await open();
                        const sub = nc.subscribe(createInbox());
                        nc.publish(sub.getSubject(), String(index));
                        assert.deepEqual(await until(take(sub, 1), 'a message'), [String(index)]);
                        await nc.close();
                }
        });

        it('comes back after the server did, with its subscriptions', async (open) => {
                const [one, other] = [
                        await open({ reconnectTimeWait: 50, maxReconnectAttempts: -1 }),
                        await open({ reconnectTimeWait: 50, maxReconnectAttempts: -1 })];
                const sub = one.subscribe('js.back.*');
                const heard = [];
                const back = Promise.all([one, other].map(async (nc) => {
                        for await (const status of nc.status())
                                if (status.type === 'reconnect')
                                        return;
                }));
                one.publish('js.back.a', 'before');
                await one.flush();
                await restartServer();
                await until(back, 'both to reconnect');
                await one.flush();
                other.publish('js.back.b', 'after');
                heard.push(...await until(take(sub, 2), 'both messages'));
                assert.deepEqual(heard, ['before', 'after']);
        });
}
