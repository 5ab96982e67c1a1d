import type {
  TestCase as PlaywrightCase,
  Reporter as PlaywrightReporter,
  TestResult,
  TestStep,
} from '@playwright/test/reporter';
import type { TestModule, TestCase as VitestCase, Reporter as VitestReporter } from 'vitest/node';

// Tells what tests did in the form of `go test -json`, which the checks of this
// repository count. One class serves both runners.

function tell(suite: string, test: string, action: 'pass' | 'fail' | 'skip', output: string): void {
  const event = { Package: suite, Test: test.replaceAll('/', '|') };
  const lines = [
    { ...event, Action: 'run' },
    ...(output ? [{ ...event, Action: 'output', Output: output }] : []),
    { ...event, Action: action },
  ];
  for (const line of lines) process.stdout.write(`${JSON.stringify(line)}\n`);
}

export default class GoTest implements PlaywrightReporter, VitestReporter {
  onTestEnd(test: PlaywrightCase, result: TestResult): void {
    if (result.status !== 'passed' && result.status !== 'skipped' && result.retry < test.retries) return;
    const action = result.status === 'passed' ? 'pass' : result.status === 'skipped' ? 'skip' : 'fail';
    const errors = result.errors.map((e) => `${e.message ?? ''}\n${e.stack ?? ''}\n`).join('');
    tell(
      'web/e2e',
      test.titlePath().slice(2).join(' > '),
      action,
      errors || (action === 'skip' ? 'skipped in its source\n' : ''),
    );
  }

  /** What a walk does between two pages is a test of its own. */
  onStepEnd(test: PlaywrightCase, _: TestResult, step: TestStep): void {
    if (step.category !== 'test.step' || step.parent) return;
    const name = [...test.titlePath().slice(2), step.title].join(' > ');
    tell('web/e2e', name, step.error ? 'fail' : 'pass', step.error ? `${step.error.message}\n` : '');
  }

  onTestCaseResult(test: VitestCase): void {
    const { state, errors } = test.result();
    const action = state === 'passed' ? 'pass' : state === 'failed' ? 'fail' : 'skip';
    tell(
      'web',
      `${test.module.relativeModuleId} > ${test.fullName}`,
      action,
      (errors ?? []).map((e) => `${e.message}\n${e.stack ?? ''}\n`).join(''),
    );
  }

  onTestModuleEnd(module: TestModule): void {
    for (const e of module.errors())
      tell('web', module.relativeModuleId, 'fail', `${e.message}\n${e.stack ?? ''}\n`);
  }

  printsToStdio(): boolean {
    return true;
  }
}
