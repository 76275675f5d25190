// driver: what a client suite needs from whoever runs it (tests/e2e/run): the server's address, and the server killed
// and started again. It asks on standard output, in lines that begin with '@', and is answered on standard input.
import { createInterface } from 'node:readline';

export const address = process.env.E2E_ADDRESS;

const answers = createInterface({ input: process.stdin });
// Whoever waits for nothing more may go: this must not hold the process.
process.stdin.unref();

// The server was killed and is back on the same port when this resolves.
export function restartServer() {
        process.stdin.ref();
        return new Promise((resolve) => {
                answers.once('line', () => {
                        process.stdin.unref();
                        resolve();
                });
                process.stdout.write('\n@restart\n');
        });
}
