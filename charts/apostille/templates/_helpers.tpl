{{/* Labels of everything the chart makes. */}}
{{- define "apostille.labels" -}}
app.kubernetes.io/name: apostille
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What selects the pods of one process: (dict "root" $ "component" "admission"). */}}
{{- define "apostille.selector" -}}
app.kubernetes.io/name: apostille
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* An image reference: (dict "root" $ "image" .Values.image). */}}
{{- define "apostille.image" -}}
{{- $name := .image.repository -}}
{{- if .image.registry -}}{{- $name = printf "%s/%s" (trimSuffix "/" .image.registry) $name -}}{{- end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* The Secret that the controller keeps; its ca.crt has every authority that is trusted. */}}
{{- define "apostille.certificateSecret" -}}
apostille-serving-certificate
{{- end }}

{{/* The Secret that the chart of 0.1.0 made, where it is still there. */}}
{{- define "apostille.certificateInherited" -}}
{{- if and (lookup "v1" "Secret" .Release.Namespace "apostille-admission-certificate") (not (include "apostille.certificateSource" .)) -}}
apostille-admission-certificate
{{- end -}}
{{- end }}

{{/* Who issues the certificate of the admission server: values of 0.1.0 (--reuse-values) do not say. */}}
{{- define "apostille.certificateMode" -}}
{{- .Values.certificate.mode | default "self" -}}
{{- end }}

{{/* The Secret of somebody else that issues it; empty where the controller does. */}}
{{- define "apostille.certificateSource" -}}
{{- if .Values.certificate.secretName -}}
{{- .Values.certificate.secretName -}}
{{- else if eq (include "apostille.certificateMode" .) "cert-manager" -}}
apostille-admission-issued
{{- end -}}
{{- end }}

{{/* The way out of sidecars: values of 0.1.0 (--reuse-values) do not say. */}}
{{- define "apostille.egress" -}}
{{- with ((.Values.egress).proxy) }}
{{- if .https }}
- --egress-proxy={{ .https }}
{{- range .noProxy }}
- --egress-direct={{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The users that the two processes are, as the API server sees them. */}}
{{- define "apostille.controllerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:apostille-controller
{{- end }}

{{/* CEL: whether a key of annotations or labels is Apostille's. */}}
{{- define "apostille.isOurs" -}}
({{ . }}.startsWith('apostille.dev/') || {{ . }}.startsWith('files.apostille.dev/'))
{{- end }}

{{/* CEL: whether the user holds the verb `override`, which administrators do, for the day when nothing else works. */}}
{{- define "apostille.mayOverride" -}}
authorizer.group('apostille.dev').resource('federationtrusts').check('override').allowed()
{{- end }}

{{/* Passes Pod Security `restricted`; no user id, because some platforms assign ranges: the image's is a number. */}}
{{- define "apostille.podSecurity" -}}
{{- toYaml (merge (deepCopy .Values.podSecurityContext) (dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault"))) -}}
{{- end }}

{{- define "apostille.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}

{{/* Metadata of the pods of one process: (dict "root" $ "component" "admission" "of" .Values.admission). */}}
{{- define "apostille.podMetadata" -}}
labels:
  {{- toYaml (merge (fromYaml (include "apostille.labels" .root)) .of.podLabels) | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- with .of.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where the pods of one process run, and what they are pulled with; arguments as above. */}}
{{- define "apostille.placement" -}}
{{- with .root.Values.priorityClassName | default (ternary "apostille" "" .root.Values.priorityClass.create) }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if .of.topologySpreadConstraints }}
  {{- toYaml .of.topologySpreadConstraints | nindent 0 }}
{{- else }}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  # An old replica that is about to go counts for nothing.
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "apostille.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* A disruption budget of one process; arguments as above. */}}
{{- define "apostille.disruptionBudget" -}}
{{- if and .of.disruptionBudget (gt (int .of.replicas) 1) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: apostille-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "apostille.labels" .root | nindent 4 }}
spec:
  maxUnavailable: 1
  # One that is not ready protects nobody, so it does not hold up a drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "apostille.selector" . | nindent 6 }}
{{- end }}
{{- end }}
