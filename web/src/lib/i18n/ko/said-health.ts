import { N, of, type Said, X } from './pattern';

/** How clusters are, what would happen to them, and the healing journal. */
export const health: Said[] = [
  // How a cluster is.
  [
    of(
      `Healthy: ${N} of ${N} brokers serve, and all ${N} partitions are in sync\\. The last operation \\(${X}\\) failed: ${X}`,
    ),
    '정상: 브로커 $2개 중 $1개가 서비스 중이고 파티션 $3개가 모두 동기화되어 있습니다. 마지막 작업($4)은 실패했습니다: $5',
  ],
  [
    of(`Healthy: ${N} of ${N} brokers serve, and all ${N} partitions are in sync`),
    '정상: 브로커 $2개 중 $1개가 서비스 중이고 파티션 $3개가 모두 동기화되어 있습니다.',
  ],
  [
    of(`Healthy: ${N} of ${N} brokers serve; there are no topics yet`),
    '정상: 브로커 $2개 중 $1개가 서비스 중이며 아직 토픽이 없습니다.',
  ],
  [
    of(`The service has just begun, and has not looked at this cluster yet`),
    '서비스가 방금 시작되어 아직 이 클러스터를 확인하지 않았습니다.',
  ],
  [of(`(.+\\.) The last operation \\(${X}\\) failed: ${X}`), '$1 마지막 작업($2)은 실패했습니다: $3'],
  [of(`Stopped: ${X}`), '중지됨: $1'],
  [of(`Healing: ${X}`), '복구 중: $1'],
  [of(`(\\S+) by (\\S+) is under way`), '$2 님이 요청한 작업을 진행하고 있습니다: $1'],
  [of(`create`), '생성'],
  [of(`scale`), '규모 조정'],
  [of(`stop`), '중지'],
  [of(`start`), '시작'],
  [of(`delete`), '삭제'],
  [of(`heal`), '복구'],
  [of(`restart-broker`), '브로커 재시작'],
  [of(`stop-broker`), '브로커 중지'],
  [of(`start-broker`), '브로커 시작'],
  [of(`kill-broker`), '브로커 강제 종료'],
  [of(`It could not be deleted: ${X} Delete it again`), '삭제하지 못했습니다: $1 다시 삭제하세요.'],
  [
    of(`It was stopped together with the service, and starts with it again`),
    '서비스와 함께 중지되었으며, 서비스가 시작되면 함께 시작됩니다.',
  ],
  [of(`A person stopped it`), '사용자가 중지했습니다.'],
  [
    of(`It could not be created: ${X} Mend the cause and start it, or delete it`),
    '생성하지 못했습니다: $1 원인을 해결하고 시작하거나 삭제하세요.',
  ],
  [
    of(`It was never created whole: start it, or delete it`),
    '생성이 끝나지 않았습니다. 시작하거나 삭제하세요.',
  ],
  [
    of(`Healing holds still, because too much fails at once: ${X}\\. Find the cause, then start the cluster`),
    '동시에 너무 많은 장애가 발생해 자동 복구를 보류했습니다: $1. 원인을 찾은 뒤 클러스터를 시작하세요.',
  ],
  [
    of(`Healing has given up on brokers \\[([\\d ]+)\\]: look at their logs`),
    '브로커 $1의 자동 복구를 포기했습니다. 로그를 확인하세요.',
  ],
  [of(`The cluster does not answer: ${X}`), '클러스터가 응답하지 않습니다: $1'],
  [of(`${N} partitions are offline`), '파티션 $1개가 오프라인입니다.'],
  [of(`Brokers \\[([\\d ]+)\\] are stopped, as a person wanted`), '브로커 $1을(를) 사용자가 중지했습니다.'],
  [of(`${N} partitions lack a replica in sync`), '파티션 $1개에 동기화되지 않은 복제본이 있습니다.'],
  [of(`broker ${N} was not looked at yet`), '브로커 $1은(는) 아직 확인 전입니다'],
  [of(`broker ${N} has lost its data directory`), '브로커 $1의 데이터 디렉터리가 없습니다'],
  [of(`broker ${N} has no process`), '브로커 $1의 프로세스가 없습니다'],
  [of(`broker ${N} does not answer`), '브로커 $1이(가) 응답하지 않습니다'],
  [of(`broker ${N} is not in service yet`), '브로커 $1이(가) 아직 서비스에 참여하지 않았습니다'],
  [of(`and ${N} more`), '외 $1개'],

  [of(`(\\S+) begun by (\\S+)`), '$2 님이 시작함: $1'],
  [of(`SUCCEEDED`), '완료'],
  [of(`FAILED`), '실패'],
  [of(`CANCELLED`), '취소됨'],

  // What if.
  [
    of(`Without (brokers? \\[?[\\d ]+\\]?), ${N} partitions go offline`),
    '$1 없이는 파티션 $2개가 오프라인이 됩니다.',
  ],
  [
    of(`Without (brokers? \\[?[\\d ]+\\]?), nobody can decide any more: ${X}`),
    '$1 없이는 메타데이터를 결정할 수 없습니다: $2',
  ],
  [
    of(`Without (brokers? \\[?[\\d ]+\\]?), ${N} partitions refuse writes with acks=all; all can be read`),
    '$1 없이는 파티션 $2개가 acks=all 쓰기를 거부합니다. 읽기는 모두 됩니다.',
  ],
  [
    of(
      `Without (brokers? \\[?[\\d ]+\\]?) everything goes on: ${N} partitions have one replica fewer in sync`,
    ),
    '$1이(가) 없어도 모두 계속됩니다. 파티션 $2개의 동기화된 복제본이 하나 줄어듭니다.',
  ],
  [of(`mended in (\\S+)`), '$1 만에 복구되었습니다.'],
  [of(`given up for a person's operation`), '사용자가 요청한 작업에 양보했습니다.'],
  [of(`failed after (\\S+): ${X}`), '$1 뒤에 실패했습니다: $2'],

  // The healing journal.
  [
    of(`its data directory or the meta\\.properties in it is gone, seen twice in a row`),
    '데이터 디렉터리 또는 그 안의 meta.properties가 없음을 두 번 연속 확인했습니다.',
  ],
  [
    of(`broker ${N}: it has no process \\(last one: ${N}\\)`),
    '브로커 $1: 프로세스가 없습니다(마지막 PID: $2).',
  ],
  [of(`it has no process \\(last one: ${N}\\)`), '프로세스가 없습니다(마지막 PID: $1).'],
  [
    of(`process ${N} lives, and makes no progress since (\\S+) \\(it does not answer\\)`),
    '프로세스 $1은(는) 살아 있지만 $2부터 응답하지 않습니다.',
  ],
  [
    of(`process ${N} lives, and makes no progress since (\\S+) \\(${X}\\)`),
    '프로세스 $1은(는) 살아 있지만 $2부터 진행이 없습니다.',
  ],
  [
    of(`the quickest way back: its data is there, and only what it missed must be copied`),
    '가장 빠른 복구 방법입니다. 데이터가 남아 있어 놓친 부분만 복사하면 됩니다.',
  ],
  [
    of(`a restart does not help, and the other brokers have all of its data`),
    '재시작으로는 해결되지 않으며, 다른 브로커가 모든 데이터를 가지고 있습니다.',
  ],
  [
    of(`nothing that the service may do helps; a person must look at the broker's log`),
    '서비스가 할 수 있는 조치로는 해결되지 않습니다. 사람이 브로커 로그를 확인해야 합니다.',
  ],
  [
    of(`without its data it would not start, or would start empty`),
    '데이터가 없으면 시작되지 않거나 빈 상태로 시작됩니다.',
  ],
  [of(`done ${N} times within (\\S+), and it failed again`), '$2 안에 $1번 시도했지만 다시 실패했습니다.'],
  [of(`it was replaced just now and failed all the same`), '방금 교체했는데도 실패했습니다.'],
  [
    of(`the cluster does not answer, so that nobody knows whether others have its data`),
    '클러스터가 응답하지 않아 다른 브로커에 데이터가 있는지 알 수 없습니다.',
  ],
  [
    of(`copies all of its data, and a restart may do`),
    '데이터를 전부 복사해야 하는데, 재시작만으로 충분할 수 있습니다.',
  ],
  [of(`there is something left to try`), '아직 시도할 방법이 남아 있습니다.'],
  [of(`a common cause would take the others too`), '공통 원인이라면 다른 브로커까지 잃을 수 있습니다.'],
  [
    of(`${N} brokers fail at once and the cluster bears ${N}: .*`),
    '브로커 $1개가 동시에 장애 상태인데 클러스터는 $2개까지 견딥니다. 디스크, 메모리, 장비 등 다른 원인일 수 있고 자동 복구가 상황을 악화시킬 수 있습니다. 원인을 찾은 뒤 브로커를 시작하세요.',
  ],
];
