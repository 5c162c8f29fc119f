{{/* Labels of everything the chart makes. */}}
{{- define "apostille.labels" -}}
app.kubernetes.io/name: apostille
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
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
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "apostille.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}
