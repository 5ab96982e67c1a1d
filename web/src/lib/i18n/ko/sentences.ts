const N = '(\\d+)';
const X = '(.+?)';

function of(pattern: string): RegExp {
  return new RegExp(`^${pattern}\\.?$`, 'i');
}

/** What the service can say, and how it is said in Korean. $1, $2 are the parts in brackets. */
export const sentences: [RegExp, string][] = [
  // Steps and summaries of plans.
  [of(`Stop broker ${N}; its leaders move to other brokers`), '브로커 $1 중지(리더는 다른 브로커로 이동)'],
  [of(`Restart broker ${N}`), '브로커 $1 재시작'],
  [of(`Start broker ${N}`), '브로커 $1 시작'],
  [of(`Stop broker ${N}`), '브로커 $1 중지'],
  [of(`Note that broker ${N} shall not run`), '브로커 $1을(를) 실행하지 않도록 기록'],
  [of(`Note that broker ${N} shall run`), '브로커 $1을(를) 실행하도록 기록'],
  [of(`Note that no broker shall run`), '모든 브로커를 실행하지 않도록 기록'],
  [of(`Note that all brokers shall run`), '모든 브로커를 실행하도록 기록'],
  [of(`Kill broker ${N}, and let healing bring it back`), '브로커 $1을(를) 강제 종료하고 자동 복구에 맡기기'],
  [
    of(`Nothing to undo: healing starts the broker again`),
    '되돌릴 것이 없습니다. 자동 복구가 브로커를 다시 시작합니다.',
  ],
  [of(`Stop (brokers? [\\d, ]+)`), '$1 중지'],
  [of(`Start (brokers? [\\d, ]+) of (\\S+) again`), '$2: $1 다시 시작'],
  [of(`Kill broker ${N}, which makes no progress, and start it`), '멈춘 브로커 $1 강제 종료 후 시작'],
  [of(`Kill broker ${N}`), '브로커 $1 강제 종료'],
  [
    of(`Replace broker ${N} by an empty one under the same id, and replicate its data again`),
    '브로커 $1: 같은 ID의 빈 브로커로 교체하고 데이터를 다시 복제',
  ],
  [of(`End what is left of broker ${N}`), '브로커 $1의 남은 프로세스 종료'],
  [of(`Set the old data of broker ${N} aside`), '브로커 $1의 기존 데이터 따로 보관'],
  [of(`Write the settings of broker ${N} and format its storage`), '브로커 $1 설정 작성 및 저장소 포맷'],
  [of(`Create ${X} with ${N} brokers of (\\S+) (\\S+)`), '$1 생성: 브로커 $2개, $3 $4'],
  [of(`Get (\\S+) (\\S+) ready`), '$1 $2 준비'],
  [of(`Wait until ${X} serve`), '$1: 서비스 시작 대기'],
  [of(`Wait until every replica on ${X} is in sync`), '$1: 모든 복제본 동기화 대기'],
  [of(`Wait until every replica is in sync`), '모든 복제본 동기화 대기'],
  [of(`Stop all ${N} brokers of ${X}`), '$2: 브로커 $1개 모두 중지'],
  [of(`Start all ${N} brokers of ${X}`), '$2: 브로커 $1개 모두 시작'],
  [of(`Delete ${X}: its ${N} brokers and all of its data`), '$1 삭제: 브로커 $2개와 모든 데이터'],
  [of(`Remove all files of ${X}`), '$1: 모든 파일 삭제'],
  [of(`${X} has ${N} brokers already`), '$1: 이미 브로커가 $2개입니다'],
  [
    of(`Add ${X} to ${X} \\((\\d+ → \\d+)\\) and move a share of the data there`),
    '$2: $1 추가($3), 데이터 일부 이동',
  ],
  [of(`Make ${X} part of ${X}`), '$1: $2에 포함'],
  [of(`Move ${N} partitions, (\\S+ \\S+), off ${X}`), '$3에서 파티션 $1개($2) 옮기기'],
  [of(`Move ${N} partitions, ${X}`), '파티션 $1개($2) 옮기기'],
  [of(`Move all data off ${X} and remove it \\((\\d+ → \\d+)\\)`), '$1: 데이터를 모두 옮기고 제거($2)'],
  [of(`Check that broker ${N} is empty`), '브로커 $1이(가) 비었는지 확인'],
  [of(`Make the cluster forget broker ${N}`), '클러스터에서 브로커 $1 등록 해제'],
  [of(`Remove the files of broker ${N}`), '브로커 $1 파일 삭제'],
  [of(`Give every partition back to its preferred leader`), '모든 파티션을 원래 리더에게 되돌리기'],
  [of(`Give every partition to its preferred leader`), '모든 파티션을 우선 리더에게 배정'],
  [
    of(`The whole cluster stops deciding \\(no new leaders, no changes\\): ${X}`),
    '클러스터 전체의 의사 결정(리더 선출, 변경)이 멈춥니다: $1',
  ],

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

  // Risks and ways back.
  [
    of(`Nothing to undo: the broker has the same settings and data afterwards`),
    '되돌릴 것이 없습니다. 설정과 데이터가 그대로 유지됩니다.',
  ],
  [of(`Start the broker again`), '브로커를 다시 시작합니다.'],
  [of(`Stop the broker`), '브로커를 중지합니다.'],
  [of(`Delete the cluster`), '클러스터를 삭제합니다.'],
  [of(`Start the cluster`), '클러스터를 시작합니다.'],
  [of(`Stop the cluster`), '클러스터를 중지합니다.'],
  [of(`Cannot be undone: the data is gone`), '되돌릴 수 없습니다. 데이터가 사라집니다.'],
  [
    of(`Cannot be undone, and need not be: what it holds afterwards is a copy of what the others have`),
    '되돌릴 수 없지만 그럴 필요도 없습니다. 다른 브로커가 가진 데이터의 복사본을 갖게 됩니다.',
  ],
  [of(`Scale back to ${N} brokers`), '브로커를 다시 $1개로 조정합니다.'],
  [
    of(`Cancel while data moves; afterwards scale out to ${N} brokers again`),
    '데이터를 옮기는 동안에는 취소할 수 있고, 끝난 뒤에는 다시 $1개로 늘립니다.',
  ],
  [
    of(`Anyone on this machine can read and write everything: this cluster has no TLS and no users`),
    '이 컴퓨터의 누구나 모든 데이터를 읽고 쓸 수 있습니다. TLS와 사용자가 없는 클러스터입니다.',
  ],
  [
    of(`With ${N} brokers, the loss of one loses data or stops writes`),
    '브로커가 $1개이므로, 하나를 잃으면 데이터를 잃거나 쓰기가 중단됩니다.',
  ],
  [
    of(`No client can read or write until the cluster is started again`),
    '클러스터를 다시 시작할 때까지 읽기와 쓰기를 할 수 없습니다.',
  ],
  [of(`${N} topics with ${X} of records are destroyed`), '토픽 $1개와 레코드 $2이(가) 모두 삭제됩니다.'],
  [
    of(`The cluster does not answer, so that nobody can say what is destroyed`),
    '클러스터가 응답하지 않아 무엇이 삭제될지 알 수 없습니다.',
  ],
  [
    of(`Nothing throttles the copying: clients may feel it`),
    '복사 속도에 제한이 없어 클라이언트가 느려질 수 있습니다.',
  ],
  [
    of(`Broker ${N} is down: it keeps what it has and gets nothing`),
    '브로커 $1이(가) 중단된 상태라, 가진 데이터만 유지하고 새로 받지 않습니다.',
  ],
  [
    of(`Replicas lie on ${N} racks afterwards, on ${N} now`),
    '복제본이 놓인 랙이 지금 $2개에서 $1개로 바뀝니다.',
  ],
  [
    of(`${N} partitions are being moved already; this plan takes those moves as done`),
    '이미 옮기는 중인 파티션이 $1개 있으며, 이 계획은 그 이동이 끝난 것으로 봅니다.',
  ],
  [
    of(`${N} of the partitions to move are offline: their move waits until a replica is back`),
    '옮길 파티션 중 $1개가 오프라인이어서, 복제본이 돌아올 때까지 기다립니다.',
  ],
  [
    of(`${N} partitions are offline meanwhile \\(such as ${X}\\): no other broker has all of their records`),
    '그동안 파티션 $1개(예: $2)가 오프라인이 됩니다. 전체 레코드를 가진 다른 브로커가 없습니다.',
  ],
  [
    of(`${N} partitions refuse writes with acks=all meanwhile: too few replicas stay in sync`),
    '그동안 파티션 $1개가 acks=all 쓰기를 거부합니다. 동기화된 복제본이 부족합니다.',
  ],
  [
    of(`${N} partitions have one replica fewer in sync meanwhile; they go on serving`),
    '그동안 파티션 $1개의 동기화된 복제본이 하나 줄어들지만, 서비스는 계속됩니다.',
  ],
  [
    of(`The metadata quorum keeps its ${N} voter, and topics keep their replication factors: ${X}`),
    '메타데이터 쿼럼의 투표자는 $1개 그대로이고, 토픽의 복제 수도 바뀌지 않습니다.',
  ],

  // Why something cannot be done.
  [
    of(`topic ${X} has replication factor ${N}, and only ${N} brokers would hold replicas`),
    '토픽 $1의 복제 수는 $2인데, 복제본을 둘 수 있는 브로커가 $3개만 남습니다.',
  ],
  [
    of(`only ${N} of ${N} controllers would be left, and ${N} are needed`),
    '컨트롤러 $2개 중 $1개만 남습니다. $3개가 필요합니다.',
  ],
  [of(`${X} has no broker ${N}: it has ${X}`), '$1에는 브로커 $2이(가) 없습니다. 있는 브로커: $3'],
  [
    of(`(\\S+) is ${N}, and there are ${N} brokers: lower it, or take ${N} brokers`),
    '$1 값이 $2인데 브로커는 $3개입니다. 값을 낮추거나 브로커를 $4개로 늘리세요.',
  ],

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
