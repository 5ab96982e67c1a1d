import { N, of, type Said, X } from './pattern';

/** Steps and summaries of plans, their risks, ways back and refusals. */
export const plans: Said[] = [
  // What may follow the title of a move.
  [of(`${X}, at most (\\S+ \\S+)/s to or from a broker`), '$1, 브로커당 최대 $2/s'],

  // Steps and summaries of plans.
  [of(`Stop broker ${N}; its leaders move to other brokers`), '브로커 $1 중지(리더는 다른 브로커로 이동)'],
  [of(`Restart broker ${N}`), '브로커 $1 재시작'],
  [of(`Start broker ${N}`), '브로커 $1 시작'],
  [of(`Stop broker ${N}`), '브로커 $1 중지'],
  [of(`Note that (brokers? [\\d, ]+) shall not run`), '$1: 실행하지 않도록 기록'],
  [of(`Note that (brokers? [\\d, ]+) shall run`), '$1: 실행하도록 기록'],
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
  [of(`(\\S+) development build`), '$1 개발 빌드'],
  [of(`(\\S+) build (\\S+)`), '$1 빌드 $2'],
  [of(`Create ${X} with ${N} brokers of ${X}`), '$1 생성: 브로커 $2개, $3'],
  [of(`Get ${X} ready`), '$1 준비'],
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
];
