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

  /** A topic with records, so that there is something to move, and clients that go on writing and reading. */
  async traffic(cluster: string, topic: string): Promise<Traffic> {
    const token = readFileSync(join(this.data, 'admin.token'), 'utf8').trim();
    const answer = await fetch(`${this.address}/api/v1/clusters/${cluster}`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    const c = (await answer.json()) as { bootstrap: string[]; clientProperties: string };
    const way = ['--bootstrap-server', c.bootstrap.join(','), '--command-config', c.clientProperties];
    const create = ['--create', '--topic', topic, '--partitions', '12', '--replication-factor', '3'];
    await run(weir, ['kafka-topics', ...way, ...create], { env: this.env });
    const write = (records: number, perSecond: number) => [
      'kafka-producer-perf-test',
      ...way,
      ...`--topic ${topic} --record-size 1000 --num-records ${records} --throughput ${perSecond}`.split(' '),
    ];
    await run(weir, write(30_000, -1), { env: this.env });
    const read = ['kafka-console-consumer', ...way, '--topic', topic, '--group', 'clicks-readers'];
    const traffic = new Traffic(
      [write(100_000_000, 300), read].map((args) =>
        spawn(weir, args, { env: this.env, stdio: ['ignore', 'ignore', 'pipe'] }),
      ),
    );
    this.clients.push(traffic);
    return traffic;
  }

  private clients: Traffic[] = [];

  /** Ends the service and every broker of it. */
  async stop(): Promise<void> {
    for (const t of this.clients) await t.end();
    await run(weir, ['down', '--dir', this.data], { env: this.env, timeout: 120_000 }).catch(() => undefined);
    this.process?.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 });
  }
}

/** A producer and a consumer that run beside the walk. */
export class Traffic {
  private said = '';
  private ended: string[] = [];

  constructor(private processes: ChildProcess[]) {
    for (const p of processes) {
      p.stderr?.on('data', (text) => {
        this.said = (this.said + text).slice(-4000);
      });
      p.on('exit', (code, signal) => this.ended.push(`${p.spawnargs[1]}: ${signal ?? code}`));
    }
  }

  /** What went wrong for the clients so far; empty when they get on. */
  wrong(): string[] {
    return [...this.ended, ...this.said.split('\n').filter((line) => /error|exception/i.test(line))];
  }

  async end(): Promise<void> {
    for (const p of this.processes) {
      if (p.exitCode !== null || p.signalCode !== null) continue;
      const gone = new Promise((resolve) => p.once('exit', resolve));
      p.kill('SIGKILL');
      await gone;
    }
  }
}

async function until(done: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 60_000;
  while (!done()) {
    if (Date.now() > end) throw new Error(`waited 60 s for ${what}`);
    await new Promise((again) => setTimeout(again, 50));
  }
}
