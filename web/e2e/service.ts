import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const weir = resolve(import.meta.dirname, process.env.WEIR_BIN ?? '../../bin/weir');

/** A real service in a directory of its own, on a free port, with nobody set up and no cluster. */
export class Service {
  private process?: ChildProcess;
  private dir = '';
  address = '';

  // The user's cache stays: an Apache Kafka is fetched once for a machine, not for a test.
  private get env() {
    return {
      ...process.env,
      XDG_CONFIG_HOME: join(this.dir, 'config'),
      XDG_DATA_HOME: join(this.dir, 'share'),
    };
  }

  private get data() {
    return join(this.dir, 'service');
  }

  async start(): Promise<void> {
    this.dir = mkdtempSync(join(tmpdir(), 'weir-web-'));
    const log = openSync(join(this.dir, 'log'), 'a');
    const args = ['service', 'run', '--dir', this.data, '--listen', '127.0.0.1:0'];
    this.process = spawn(weir, args, { env: this.env, stdio: ['ignore', log, log] });
    const state = join(this.data, 'service.json');
    await until(() => existsSync(state) || this.process?.exitCode !== null, 'the service to answer');
    if (this.process.exitCode !== null) throw new Error(this.log());
    this.address = (JSON.parse(readFileSync(state, 'utf8')) as { address: string }).address;
  }

  log(): string {
    return readFileSync(join(this.dir, 'log'), 'utf8');
  }

  /** The link that `weir up` prints. */
  async setupLink(): Promise<string> {
    const token = readFileSync(join(this.data, 'admin.token'), 'utf8').trim();
    const answer = await fetch(`${this.address}/api/v1/setup/link`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}` },
    });
    if (!answer.ok) throw new Error(`set-up link: ${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { link: string }).link;
  }

  /** A topic with records, for something to be moved. */
  async fill(cluster: string, topic: string, records: number): Promise<void> {
    const token = readFileSync(join(this.data, 'admin.token'), 'utf8').trim();
    const answer = await fetch(`${this.address}/api/v1/clusters/${cluster}`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    const c = (await answer.json()) as { bootstrap: string[]; clientProperties: string };
    const server = ['--bootstrap-server', c.bootstrap.join(','), '--command-config', c.clientProperties];
    const create = ['--create', '--topic', topic, '--partitions', '12', '--replication-factor', '3'];
    await run(weir, ['kafka-topics', ...server, ...create], { env: this.env });
    const load = [
      '--topic',
      topic,
      '--num-records',
      `${records}`,
      '--record-size',
      '1000',
      '--throughput',
      '-1',
    ];
    const way = ['--bootstrap-server', c.bootstrap.join(','), '--command-config', c.clientProperties];
    await run(weir, ['kafka-producer-perf-test', ...load, ...way], { env: this.env });
  }

  /** Ends the service and every broker of it. */
  async stop(): Promise<void> {
    await run(weir, ['down', '--dir', this.data], { env: this.env, timeout: 120_000 }).catch(() => undefined);
    this.process?.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 });
  }
}

async function until(done: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 60_000;
  while (!done()) {
    if (Date.now() > end) throw new Error(`waited 60 s for ${what}`);
    await new Promise((again) => setTimeout(again, 50));
  }
}
