// Names for the parts of the generated description, so that pages need not know its shape.
import type { components } from './schema';

type S = components['schemas'];

export type Role = S['Session']['role'];
export type ClusterState = S['Cluster']['state'];
export type OpState = S['Operation']['state'];
export type StepState = S['Step']['state'];

/** The changes that pages propose. */
export type Kind =
  | 'scale'
  | 'start'
  | 'stop'
  | 'restart-broker'
  | 'stop-broker'
  | 'start-broker'
  | 'kill-broker'
  | 'delete';

export type Broker = S['Broker'];
export type Cluster = S['Cluster'];
export type ClusterView = Omit<S['ClusterView'], 'mend' | 'healthLevel'> & {
  mend?: ChangeRequest;
  healthLevel: 'ok' | 'warn' | 'bad' | 'off';
};
export type BrokerObservation = S['BrokerObservation'];
export type CreateRequest = S['CreateRequest'];
export type ChangeRequest = Omit<S['ChangeRequest'], 'kind'> & { kind: Kind };
export type Plan = S['Plan'];
export type Step = S['Step'];
export type Operation = S['Operation'];
export type JournalEntry = S['JournalEntry'];
export type Simulation = S['Simulation'];
export type Profile = S['Profile'];
export type EngineInfo = S['EngineInfo'];
export type Panel = S['Panel'];
export type PanelData = S['PanelData'];
export type PanelSeries = S['Series'];
export type Connect = S['Connect'];
export type KafkaUserRequest = S['KafkaUserRequest'];
export type Credentials = S['Credentials'];
export type Session = S['Session'];
export type PersonBody = S['PersonBody'];
export type TokenBody = S['TokenBody'];
